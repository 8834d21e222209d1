# Functions that fail, each with the way on.

plan "wrong" {}

locals {
  no_file     = file("hosts.csv")
  outside     = file("/etc/passwd")
  a_folder    = file(".")
  no_variable = env("NOT_SET_ANYWHERE")
  no_csv      = csvdecode("name,ip\na,1,2\n")
  no_yaml     = yamldecode("a: [1, 2")
  no_json     = jsondecode("{\"a\": 1")
  no_network  = cidrhost("10.0.0.0", 1)
  too_far     = cidrhost("10.0.0.0/24", 300)
  no_regex    = regex("[a-", "x")
  no_match    = regex("^b", "aaa")
  unknown     = filee("x")
  few         = split(",")
  no_list     = join(",", "a")
  no_number   = tonumber("x")
  no_template = templatefile("banner.tpl", {})
  no_base64   = base64decode("%%%")
  two         = one([1, 2])
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
