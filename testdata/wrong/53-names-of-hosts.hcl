# Names of hosts, groups and steps that cannot be.

plan "wrong" {}

group "all hosts" {
  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
  }
  host "esxi 01" {
    bmc { address = "198.51.100.1" }
  }
  host "all" {
    bmc { address = "198.51.100.2" }
  }
  host "lab" {
    bmc { address = "198.51.100.3" }
  }
}

group "lab" {
  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
  }
  host "esxi-04" {
    bmc { address = "198.51.100.4" }
  }
  host "esxi-04" {
    bmc { address = "198.51.100.5" }
  }
}

step "precheck" "1st" {}
