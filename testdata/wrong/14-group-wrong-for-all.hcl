# Arguments of a group that are wrong for each of its hosts, or for those of one network.

plan "wrong" {}

group "lab" {
  vendor = "del"
  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
  }
  esxi {
    netmask     = "255.255.0.255"
    nameservers = ["dns1", "192.0.2.53"]
    nic         = "eth0"
    disk        = { model = "DELLBOSS VD", serial = "X1" }
  }
  host "198.51.100.1" {
    esxi { address = "192.0.2.1" }
  }
  host "198.51.100.2" {
    esxi { address = "192.0.2.2" }
  }
  host "198.51.100.3" {
    esxi { address = "192.0.2.3" }
  }
  host "198.51.100.4" {
    esxi { address = "192.0.2.4" }
  }
  host "198.51.100.5" {
    esxi { address = "192.0.2.5" }
  }
  host "198.51.100.6" {
    esxi { address = "192.0.2.6" }
  }
  host "198.51.100.7" {
    esxi { address = "192.0.2.7" }
  }
}

group "other" {
  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
  }
  esxi {
    netmask = "255.255.255.0"
    gateway = "192.0.2.1"
  }
  host "198.51.101.1" {
    esxi { address = "192.0.3.21" }
  }
  host "198.51.101.2" {
    esxi { address = "192.0.2.22" }
  }
  host "198.51.101.3" {
    esxi { address = "192.0.3.23" }
  }
  host "198.51.101.4" {
    esxi { address = "192.0.2.24" }
  }
  host "198.51.101.5" {
    esxi { address = "192.0.3.25" }
  }
  host "198.51.101.6" {
    esxi { address = "192.0.2.26" }
  }
  host "198.51.101.7" {
    esxi { address = "192.0.3.27" }
  }
}

step "precheck" "look" {}
