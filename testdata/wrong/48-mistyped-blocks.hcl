# Mistyped blocks are read as those that are meant.

pln "wrong" {}

locls {
  rack = "r7"
}

imge "esxi" {
  source = "installer.iso"
}

grop "lab" {
  bcm {
    username = "root"
    password = env("BMC_PASSWORD")
  }
  hst "esxi-01" {
    bmc { adress = "198.51.100.1" }
    vars = { rack = local.rack }
  }
}

step "precheck" "look" {
  when = host.vars.rack == "r7" && image.esxi.source != ""
}
