# One unknown name in many places.

plan "wrong" {}

group "lab" {
  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
  }
  esxi {
    netmask       = local.net.netmask
    gateway       = local.net.gateway
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

step "power" "restart" {
  action  = local.net.action
  timeout = local.net.timeout
  when    = local.net.ready
}
