# Hosts that come from secrets, from nothing, and from no list.

plan "wrong" {}

variable "logins" {
  type      = map(string)
  sensitive = true
  default   = { esxi01 = "hidden-all-the-same" }
}

group "rack" {
  bmc {
    username = "root"
    password = "x"
  }
  dynamic "host" {
    for_each = var.logins
    iterator = row
    labels   = [row.key]
    content {
      bmc { password = row.value }
    }
  }
  dynamic "host" {
    for_each = [var.logins["esxi01"]]
    iterator = row
    labels   = [row.value]
    content {
      bmc { password = row.value }
    }
  }
  dynamic "host" {
    for_each = null
    iterator = row
    labels   = [row.value]
    content {}
  }
  dynamic "host" {
    for_each = "esxi02"
    iterator = row
    labels   = [row.value]
    content {}
  }
  dynamic "host" {
    for_each = ["esxi03", null, ["esxi04"]]
    iterator = row
    labels   = [row.value]
    content {
      vars = { of = rwo.key }
    }
  }
}

step "precheck" "look" {}
