# BMCs whose address is not valid, and two spellings of one.

plan "wrong" {}

group "lab" {
  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
  }
  host "typing-mistake" {
    bmc { address = "198.51.100.256" }
  }
  host "login" {
    bmc { address = "https://root:hidden@198.51.100.1" }
  }
  host "zone" {
    bmc { address = "fe80::1%eth0" }
  }
  host "path" {
    bmc { address = "https://198.51.100.2/redfish/v1" }
  }
  host "10.1" {}
  host "by-https" {
    bmc { address = "198.51.100.3" }
  }
  host "by-http" {
    bmc { address = "http://198.51.100.3:80/" }
  }
}

step "precheck" "look" {}
