# Two hosts with one BMC, one ESXi address, one serial number, one name; two steps with one name.

plan "wrong" {}

group "lab" {
  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
  }
  host "one" {
    serial = "7XQ4T93"
    bmc { address = "198.51.100.1" }
    esxi { address = "192.0.2.11" }
  }
  host "two" {
    serial = "7xq4t93"
    bmc { address = "198.51.100.1" }
    esxi {
      address  = "192.0.2.11"
      hostname = "esxi-192-0-2-11"
    }
  }
}

step "precheck" "look" {}
step "eject" "look" {}
