# Results: of a step that some hosts do not take, of a later one, of itself, with a typing mistake.

plan "wrong" {}

image "esxi" {
  source = "installer.iso"
}

media {
  listen = "127.0.0.1:0"
}

group "dell" {
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
group "hpe" {
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
  host "esx-01" {
    bmc { address = "198.51.101.1" }
    esxi { address = "192.0.2.21" }
  }
  host "esx-02" {
    bmc { address = "198.51.101.2" }
    esxi { address = "192.0.2.22" }
  }
}

step "build_iso" "installer" {
  groups = ["dell"]
  image  = image.esxi
}

step "insert" "cd" {
  image = step.installer.url
  when  = step.cd.slot == null
}

step "wait" "done" {
  until = result.provn
  when  = step.restart.after == "On" && step.instaler.url != null
}

step "power" "restart" {
  action = "restart"
}
