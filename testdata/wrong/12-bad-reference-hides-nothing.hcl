# An unknown local in one argument; wrong values in others of the same step, and in other steps.

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
  image             = image.esxi
  system_media_size = "tiny"
  timeout           = "20 min"
  tags              = [local.tag]
}

step "wait" "done" {
  goal  = "esx"
  delay = local.pause
  until = result.proven && local.ready
}

step "power" "restart" {
  action  = "reboot"
  retries = "many"
}
