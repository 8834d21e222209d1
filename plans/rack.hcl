# Two racks of twenty servers, one line for each in rack.csv. A change of one server is a
# change of one line, and concerns no other server.
#
#   esxiplan validate   plans/rack.hcl
#   esxiplan list hosts plans/rack.hcl --limit 'esxi0*'
#   esxiplan rehearse   plans/rack.hcl
#
# Lines of rack.csv may have no serial yet; this fills it in from what each BMC reports:
#
#   esxiplan discover plans/rack.hcl --write

plan "rack" {
  description      = "Install ESXi on the servers of two racks"
  required_version = ">= 0.1"
}

variable "root_password" {
  type        = string
  sensitive   = true
  description = "root on the installed hosts"
}

locals {
  servers  = csvdecode(file("rack.csv"))
  gateways = { r07 = "10.172.16.1", r08 = "10.172.16.2" } # the uplink of each rack
}

image "esxi" {
  source = "VMware-VMvisor-Installer-8.0U3-24022510.x86_64.iso"
}

media {
  listen = "0.0.0.0:8090"
}

group "rack" {
  vendor = "dell"

  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
    tls      = { verify = false } # or { fingerprint = "sha256:…" }, { ca_file = "…" }, { first_use = true }
  }
  esxi {
    netmask       = "255.255.240.0"
    gateway       = local.gateways[host.vars.rack]
    nameservers   = ["10.172.16.53"]
    disk          = { model = "DELLBOSS VD" }
    root_password = var.root_password
    current       = { username = "root", password = var.root_password }
  }

  dynamic "host" {
    for_each = local.servers
    iterator = server # server.key counts the lines from 0, server.value holds their columns
    labels   = [server.value.name]

    content {
      serial = server.value.serial
      bmc { address = server.value.bmc }
      esxi {
        address  = server.value.address
        hostname = server.value.name
        nic      = server.value.mac
      }
      vars = { rack = server.value.rack }
    }
  }
}

step "precheck" "login" {
  tags = ["pre-check"]
}

step "build_iso" "installer" {
  tags              = ["build-iso"]
  image             = image.esxi
  system_media_size = "small"
}

step "eject" "leftovers" {
  tags = ["mount-iso", "umount-iso"]
}

step "insert" "installer_cd" {
  tags  = ["mount-iso"]
  image = step.installer.url
}

step "one_time_boot" "cd" {
  tags   = ["mount-iso"]
  target = "cd"
}

step "power" "restart" {
  tags   = ["reboot"]
  action = "restart"
}

step "wait" "installed" {
  tags = ["post-check"]
  goal = "esxi"
}
