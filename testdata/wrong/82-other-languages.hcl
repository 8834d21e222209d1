# What Terraform and Ansible write for several hosts.

plan "wrong" {}

locals {
  servers = { esxi01 = "198.51.100.1", esxi02 = "198.51.100.2" }
}

dynamic "group" {
  for_each = ["a", "b"]
}

group "rack" {
  bmc {
    username = "root"
    password = "x"
  }
  count = 2
  host "esxi" {
    for_each = local.servers
    bmc { address = "198.51.100.9" }
  }
  dynamic "host" {
    for_each = local.servers
    labels   = [host.key]
    content {
      bmc { address = host.value }
    }
  }
  dynamic "host" {
    for_each = local.servers
    iterator = host
    labels   = [host.key]
    content {}
  }
  dynamic "bmc" {
    for_each = local.servers
  }
  dynamic "host" {
    for_each = local.servres
    iterator = server
    labels   = [server.key]
    content {
      bmc { address = server.value }
    }
  }
}

step "precheck" "look" {}
