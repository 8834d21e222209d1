# Six machines of three vendors, from bare to proven. Try it without any hardware:
#
#   esxiplan rehearse plans/demo.hcl

plan "demo" {
  description      = "Install ESXi on six simulated machines"
  required_version = ">= 0.1"
}

variable "root_password" {
  type        = string
  sensitive   = true
  description = "root on the installed hosts"
}

image "esxi" {
  source = "VMware-VMvisor-Installer-8.0U3-24022510.x86_64.iso"
}

media {
  listen = "0.0.0.0:8090"
}

group "dell" {
  vendor = "dell"
  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
    tls      = { verify = false }
  }
  esxi {
    netmask       = "255.255.255.0"
    gateway       = "192.0.2.1"
    nameservers   = ["192.0.2.53"]
    disk          = { model = "DELLBOSS VD" }
    root_password = var.root_password
    current       = { username = "root", password = var.root_password }
  }
  host "dell-1" {
    bmc { address = "198.51.100.11" }
    esxi { address = "192.0.2.11" }
  }
  host "dell-2" {
    bmc { address = "198.51.100.12" }
    esxi { address = "192.0.2.12" }
  }
}

group "hpe" {
  vendor = "hpe"
  bmc {
    username = "Administrator"
    password = env("BMC_PASSWORD")
    tls      = { verify = false }
  }
  esxi {
    netmask       = "255.255.255.0"
    gateway       = "192.0.2.1"
    nameservers   = ["192.0.2.53"]
    disk          = { serial = "S6PNNE0W${upper(replace(host.name, "-", ""))}" }
    root_password = var.root_password
  }
  host "hpe-1" {
    bmc { address = "198.51.100.21" }
    esxi { address = "192.0.2.21" }
  }
  host "hpe-2" {
    bmc { address = "198.51.100.22" }
    esxi { address = "192.0.2.22" }
  }
}

group "lenovo" {
  vendor = "lenovo"
  bmc {
    username = "USERID"
    password = env("BMC_PASSWORD")
    tls      = { verify = false }
  }
  esxi {
    netmask       = "255.255.255.0"
    gateway       = "192.0.2.1"
    nameservers   = ["192.0.2.53"]
    disk          = { model = "ThinkSystem M.2" }
    root_password = var.root_password
    current       = { username = "root", password = var.root_password }
  }
  host "lenovo-1" {
    bmc { address = "198.51.100.31" }
    esxi {
      address = "192.0.2.31"
      nic     = "B4:96:91:A7:3F:D1"
    }
  }
  host "lenovo-2" {
    bmc { address = "198.51.100.32" }
    esxi {
      address = "192.0.2.32"
      nic     = "B4:96:91:A7:3F:D2"
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
