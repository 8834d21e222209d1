# Addresses that do not fit: of the network, broadcast, gateway of another network, IPv6, the host as its own gateway.

plan "wrong" {}

group "lab" {
  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
  }
  esxi { netmask = "255.255.255.0" }
  host "198.51.100.1" {
    esxi {
      address = "192.0.2.0"
      gateway = "192.0.2.1"
    }
  }
  host "198.51.100.2" {
    esxi {
      address = "192.0.2.255"
      gateway = "192.0.2.255"
    }
  }
  host "198.51.100.3" {
    esxi {
      address = "192.0.2.13"
      gateway = "192.0.2.13"
    }
  }
  host "198.51.100.4" {
    esxi {
      address = "2001:db8::4"
      gateway = "192.0.2.1"
    }
  }
  host "198.51.100.5" {
    esxi {
      address = "192.0.2.15/24"
      netmask = "/24"
      gateway = "gw.example.net"
    }
  }
}

step "precheck" "look" {}
