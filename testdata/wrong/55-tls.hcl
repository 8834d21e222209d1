# How certificates are checked: too many ways, none, a fingerprint of wrong form, a file that is missing.

plan "wrong" {}

group "lab" {
  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
  }
  host "198.51.100.1" {
    bmc {
      tls = {}
    }
  }
  host "198.51.100.2" {
    bmc {
      tls = { verify = false, first_use = true }
    }
  }
  host "198.51.100.3" {
    bmc {
      tls = { fingerprint = "AB:CD" }
    }
  }
  host "198.51.100.4" {
    bmc {
      tls = { ca_file = "authorities.pem" }
    }
  }
  host "198.51.100.5" {
    bmc {
      tls = { ca_file = "installer.iso" }
    }
  }
  host "198.51.100.6" {
    bmc {
      tls = true
    }
  }
}

step "precheck" "look" {}
