# Addresses that cannot work: outside the network, gateway elsewhere, bad mask, bad NIC.

plan "wrong" {}

group "lab" {
  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
  }
  esxi {
    netmask = "255.255.255.0"
    gateway = "192.0.2.1"
  }
  host "gateway-elsewhere" {
    bmc { address = "198.51.100.1" }
    esxi {
      address = "192.0.3.11"
      nic     = "B4:96:91:A7:3F"
    }
  }
  host "no-host-address" {
    bmc { address = "198.51.100.2" }
    esxi { address = "192.0.2.255" }
  }
  host "bad-mask" {
    bmc { address = "198.51.100.3" }
    esxi {
      address     = "192.0.2.13"
      netmask     = "255.0.255.0"
      nameservers = ["dns.example.net"]
      hostname    = "esxi_13"
    }
  }
}

step "precheck" "look" {}
