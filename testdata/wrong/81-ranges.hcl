# Ranges that are none, count too far, or make hosts that another block makes, too.

plan "wrong" {}

group "rack" {
  bmc {
    username = "root"
    password = "x"
  }
  host "esxi[40:01]" {}
  host "esxi[1:040]" {}
  host "esxi[1-40]" {}
  host "esxi[01:40:0]" {}
  host "esxi[1:1000000000]" {}
  host "[fd00::1]" {}
  host "esxi[08:11]" {
    esxi { address = cidrhost("192.0.2.8/30", 1 + host.index) }
  }
  host "esxi[10:14:2]" {
    vendor = "hp"
    esxi { address = "192.0.2.${100 + host.index}" }
  }
}

step "precheck" "look" {}
