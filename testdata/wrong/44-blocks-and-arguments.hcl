# Blocks written as arguments, and arguments as blocks; blocks and arguments given twice.

plan "wrong" {}

group "lab" {
  bmc = {
    username = "root"
    password = env("BMC_PASSWORD")
  }
  esxi {
    address = "192.0.2.11"
  }
  esxi {
    address = "192.0.2.12"
  }
  host "esxi-01" {
    bmc { address = "198.51.100.1" }
    esxi {
      disk {
        model = "DELLBOSS VD"
      }
    }
  }
}

step "precheck" "look" {}
