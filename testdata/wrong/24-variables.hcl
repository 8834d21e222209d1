# Variables: type and default that do not agree, unknown arguments, a validation that fails, one that is not declared.

plan "wrong" {}

variable "hosts" {
  type    = number
  default = "many"
}

variable "sizes" {
  type    = list(strin)
  defualt = []
}

variable "rack" {
  type    = string
  default = "x7"
  validation {
    condition     = can(regex("^r[0-9]+$", var.rack))
    error_message = "A rack is r and a number, such as r7."
  }
}

variable "other" {
  default = var.rack
  validation {
    condition = true
  }
}

group "lab" {
  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
  }
  esxi {
    netmask       = "255.255.255.0"
    gateway       = var.gatway
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
