# A table lacks the row of one host; another row has no column "gateway".

plan "wrong" {}

locals {
  servers = {
    esxi-01 = { ip = "192.0.2.11", gateway = "192.0.2.1" }
    esxi-02 = { ip = "192.0.2.12" }
  }
}

group "dell" {
  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
  }
  esxi {
    address = local.servers[host.name].ip
    netmask = "255.255.255.0"
    gateway = local.servers[host.name].gateway
  }
  host "esxi-01" {}
  host "esxi-02" {}
  host "esxi-17" {}
}

step "precheck" "look" {}
