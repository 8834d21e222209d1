plan "lab" {}

variable "hook" {
  type      = string
  sensitive = true
  default   = "https://hooks.example.com/hidden-all-the-same"
}

notify "no_address" {
  format = "slak"
  on     = ["failure", "ends", "failure"]
}

notify "not_web" {
  url     = "ftp://hooks.example.com/hidden-all-the-same"
  on      = []
  secret  = ""
  timeout = "0s"
  tls     = { first_use = true }
}

notify "with_user" {
  url     = "https://user:hidden-all-the-same@hooks.example.com/"
  headers = { "Content-Type" = "text/plain", "X Team" = "a", "X-Key" = "hidden-all-the-same\n" }
  tls     = { verify = false, fingerprint = "abc" }
}

notify "mistyped" {
  url      = var.hook
  template = "${message.txt} ${message.failures[0].host} ${host.name}"
  retries  = 3
}

notify "shows" {
  url      = var.hook
  template = "${message.text} ${var.hook}"
}

notify "mistyped" {
  url = var.hook
}

group "g" {
  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
  }
  host "10.0.0.1" {}
}
step "precheck" "login" {}
