# Values of the wrong type, words that are not allowed.

plan "wrong" {}

image "esxi" {
  source = "installer.iso"
}

media {
  listen = "127.0.0.1:0"
}

group "lab" {
  vendor = "dell"
  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
  }
  esxi {
    netmask       = "255.255.255.0"
    gateway       = "192.0.2.1"
    disk          = { model = "DELLBOSS VD" }
    root_password = env("ROOT_PASSWORD")
  }
  host "one" {
    bmc { address = "198.51.100.1" }
    esxi { address = "192.0.2.11" }
  }
}

step "power" "restart" {
  action = "reboot"
}

step "eject" "leftovers" {
  force   = "perhaps"
  timeout = "soon"
  tags    = "mount"
}
