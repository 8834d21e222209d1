# Hosts without a login: no bmc block at all, one without a user.

plan "wrong" {}

group "none" {
  host "198.51.100.1" {}
  host "198.51.100.2" {}
  host "198.51.100.3" {}
}

group "half" {
  host "198.51.101.1" {
    bmc { username = "root" }
  }
  host "198.51.101.2" {
    bmc { username = "root" }
  }
}

group "nothing" {
  bmc {
    username = ""
    password = env("BMC_PASSWORD")
  }
  host "198.51.102.1" {}
}

step "precheck" "look" {}
