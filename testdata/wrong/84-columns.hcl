# Columns that a table does not have, and a row that is too short for the plan.

plan "wrong" {}

locals {
  racks = { r1 = "192.0.2.254" }
}

group "rack" {
  bmc {
    username = "root"
    password = "x"
  }
  esxi {
    netmask = "255.255.255.0"
    gateway = local.racks[host.vars.rack]
  }
  host "esxi00" {
    bmc { address = "198.51.100.9" }
    esxi { address = "192.0.2.9" }
    vars = { rack = "r1" }
  }
  dynamic "host" {
    for_each = csvdecode(file("74-columns.csv"))
    iterator = row
    labels   = [row.value.name]
    content {
      serial = row.value.serail
      bmc { address = row.value.bmc }
      esxi { address = row.value.address }
      vars = { rack = row.value.rack }
    }
  }
}

step "precheck" "look" {}
