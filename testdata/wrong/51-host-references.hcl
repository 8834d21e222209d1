# What an argument of a host may not refer to.

plan "wrong" {}

group "lab" {
  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
  }
  serial = step.look.serial
  esxi {
    address = host.facts.serial
    netmask = host.esxi.gateway
    gateway = host.gateway
    vlan    = host.vars.vlann
  }
  vars = { vlan = 7 }
  host "198.51.100.1" {
    vars = { rack = result.rack }
  }
  host "198.51.100.2" {
    vars = ["r7"]
  }
  host "198.51.100.3" {}
}

step "precheck" "look" {}
