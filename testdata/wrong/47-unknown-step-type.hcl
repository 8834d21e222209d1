# A mistyped step type: the step is checked all the same, and others may refer to it. One that nothing is like.

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

step "build-iso" "installer" {
  imag = image.esxi
  size = "small"
}

step "insert" "cd" {
  image = step.installer.url
}

step "reformat" "disk" {}

step "precheck" "look" {
  when = step.disk.done
}
