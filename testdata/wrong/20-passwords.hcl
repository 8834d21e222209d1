# Passwords that are written out: in a group, in hosts, in a local, as a default.

plan "wrong" {}

variable "root_password" {
  type      = string
  sensitive = true
  default   = "hidden-all-the-same"
}

locals {
  login = "hidden-all-the-same"
}

group "lab" {
  bmc {
    username = "root"
    password = local.login
  }
  esxi {
    root_password = var.root_password
    vlan          = "a"
  }
  host "esxi-01" {
    bmc { password = "hidden-all-the-same" }
    esxi { address = "192.0.2.11" }
  }
  host "esxi-02" {
    esxi {
      address = "192.0.2.12"
      current = { username = "root", password = "hidden-all-the-same", port = 443 }
    }
  }
}

step "precheck" "look" {}
