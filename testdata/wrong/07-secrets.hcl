# Secrets where they would show.

plan "wrong" {}

variable "password" {
  type      = string
  sensitive = true
  default   = "hidden-all-the-same"
}

group "lab" {
  bmc {
    username = var.password
    password = var.password
  }
  host "one" {
    bmc { address = "198.51.100.1" }
    vars = { note = "the password is ${var.password}" }
  }
}

step "insert" "cd" {
  image = "http://example.net/${try(host.vars.note, "none")}.iso"
  tags  = [var.password]
}

step "power" "restart" {
  action = can(regex("^h", var.password)) ? "restart" : "off"
}
