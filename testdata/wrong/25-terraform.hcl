# Habits from Terraform.

terraform {
  required_version = ">= 1.0"
}

provider "redfish" {}

resource "redfish_power" "restart" {
  count = 3
}

output "x" {
  value = 1
}

plan "wrong" {}

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

step "power" "restart" {
  for_each   = local.servers
  depends_on = [step.look]
  action     = each.value
  count      = 2
}

step "wait" "done" {
  until = self.proven && data.x.y
}
