# Arguments of wrong type, missing ones, unknown ones, former names.

plan "wrong" {}

image "esxi" {
  source = "installer.iso"
}

media {
  listen = "127.0.0.1:0"
}

group "lab" {
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
  host "esxi-01" {
    bmc { address = "198.51.100.1" }
    esxi { address = "192.0.2.11" }
  }
  host "esxi-02" {
    bmc { address = "198.51.100.2" }
    esxi { address = "192.0.2.12" }
  }
}

step "build_iso" "installer" {
  image = "installer.iso"
}

step "build_iso" "again" {
  image    = { source = "installer.iso", checksum = "x" }
  commands = "esxcli system version get"
}

step "insert" "cd" {
  image = ["http://192.0.2.1/a.iso"]
  slot  = { id = 1 }
}

step "one_time_boot" "cd_boot" {
  device = "cd"
}

step "power" "off" {
  action = "ON"
}
