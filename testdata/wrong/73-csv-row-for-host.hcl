# A CSV file that lacks the row of some hosts, and has an empty address in another.

plan "wrong" {}

locals {
  servers = { for r in csvdecode(file("servers.csv")) : r.name => r }
}

group "dell" {
  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
  }
  serial = local.servers[host.name].serial
  esxi {
    address = local.servers[host.name].ip
    netmask = "255.255.255.0"
    gateway = cidrhost("${local.servers[host.name].ip}/24", 1)
  }
  host "esxi-01" {}
  host "esxi-02" {}
  host "esxi-03" {}
  host "esxi-17" {}
  host "esxi-18" {}
}

step "precheck" "look" {}
