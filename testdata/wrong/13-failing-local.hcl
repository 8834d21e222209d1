# A local that cannot be evaluated: what depends on it is not reported, everything else is.

plan "wrong" {}

locals {
  rows    = csvdecode(file("hosts-of-row-7.csv"))
  servers = { for r in local.rows : r.name => r }
}

group "lab" {
  bmc {
    username = "root"
    password = local.servers[host.name].password
  }
  esxi {
    netmask = "255.255.255.0"
    gateway = "192.0.2.254"
  }
  host "esxi-01" {
    serial = local.servers["esxi-01"].serial
    bmc { address = "198.51.100.1" }
    esxi { address = "192.0.3.11" }
  }
  host "esxi-02" {
    bmc { address = "198.51.100.1" }
    esxi { address = "192.0.2.255" }
  }
  host "esxi-03" {
    bmc { address = local.servers["esxi-03"].bmc }
    esxi {
      address = "192.0.2.300"
      vlan    = 5000
    }
  }
}

step "precheck" "look" {
  when = local.servers[host.name].ready
}
