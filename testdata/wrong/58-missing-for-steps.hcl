# What steps need and hosts do not have, each of it once.

plan "wrong" {}

image "esxi" {
  source = "installer.iso"
}

media {
  listen = "127.0.0.1:0"
}

group "empty" {
  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
  }
  host "198.51.100.1" {}
  host "198.51.100.2" {}
}

group "half" {
  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
  }
  esxi { netmask = "255.255.255.0" }
  host "198.51.101.1" {
    esxi {
      address = "192.0.2.11"
      disk    = { model = "DELLBOSS VD" }
    }
  }
  host "198.51.101.2" {
    esxi { gateway = "192.0.2.1" }
  }
}

step "build_iso" "installer" {
  image = image.esxi
}

step "build_iso" "again" {
  image = image.esxi
}
