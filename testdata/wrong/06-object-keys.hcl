# Unknown keys of object arguments, two ways to name a disk, names that no BMC confirms.

plan "wrong" {}

group "lab" {
  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
    tls      = { verfy = false }
  }
  host "one" {
    bmc { address = "198.51.100.1" }
    esxi {
      address = "192.0.2.11"
      disk    = { modell = "DELLBOSS VD" }
    }
  }
  host "two" {
    bmc {
      address = "198.51.100.2"
      tls     = { verify = false, first_use = true }
    }
    esxi {
      address = "192.0.2.12"
      disk    = { model = "DELLBOSS VD", serial = "123" }
      current = { user = "root", password = "x" }
    }
  }
  host "three" {
    bmc {
      address = "198.51.100.3"
      tls     = { verify = false }
    }
    esxi {
      address = "192.0.2.13"
      disk    = { name = "mpx.vmhba0:C0:T0:L0" }
    }
  }
}

step "precheck" "look" {}
