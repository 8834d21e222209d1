# Lookups, lists and operators that cannot be.

plan "wrong" {}

locals {
  servers = { a = { ip = "192.0.2.1" }, b = { ip = "192.0.2.2" } }
  list    = [{ name = "a" }, { name = "b" }]
  nothing = null

  no_key      = local.servers["c"].ip
  no_column   = local.servers.a.ipp
  splat       = local.list.name
  too_far     = local.list[2]
  no_object   = local.servers.a.ip.octets
  of_null     = local.nothing.name
  zero        = 10 / 0
  no_sum      = "a" + 1
  no_choice   = true ? 1 : [2]
  no_loop     = [for x in 5 : x]
  twice       = { for x in ["a", "a"] : x => 1 }
  no_text     = "disks: ${[1, 2]}"
  no_truth    = "yes" && true
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

step "precheck" "look" {}
