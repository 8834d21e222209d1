# A table with mistakes in its rows, and rows that share what only one host can have.

plan "wrong" {}

group "rack" {
  bmc {
    username = "root"
    password = "x"
  }
  esxi {
    netmask = "255.255.255.0"
    gateway = "192.0.2.1"
  }
  dynamic "host" {
    for_each = csvdecode(file("70-rows.csv"))
    iterator = row
    labels   = [row.value.name]
    content {
      serial = row.value.serial
      bmc { address = row.value.bmc }
      esxi {
        address = row.value.address
        nic     = row.value.mac
      }
    }
  }
  dynamic "host" {
    for_each = {
      "esxi 9" = "192.0.2.9"
      "esxi8"  = "192.0.2.300"
    }
    iterator = row
    labels   = [row.key]
    content {
      bmc { address = "198.51.100.${host.index + 8}" }
      esxi { address = row.value }
    }
  }
}

step "precheck" "look" {}
