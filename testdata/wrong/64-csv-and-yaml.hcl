# Tables in files that are broken.

plan "wrong" {}

locals {
  rows = csvdecode(file("broken.csv"))
  tree = yamldecode(file("broken.yaml"))
  ips  = { for r in local.rows : r.name => r.ip }
}

group "lab" {
  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
  }
  esxi {
    netmask       = "255.255.255.0"
    gateway       = "192.0.2.1"
    disk          = { model = "DELLBOSS VD" }
    root_password = env("ROOT_PASSWORD")
  }
  host "esxi-01" {
    bmc { address = "198.51.100.1" }
    esxi { address = local.ips[host.name] }
  }
  host "esxi-02" {
    bmc { address = "198.51.100.2" }
    esxi { address = local.tree[host.name].ip }
  }
}

step "precheck" "look" {}
