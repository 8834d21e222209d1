# A lab of two vendors, published through a web server that is there already. Change
# addresses, image and folders to yours; then
#
#   esxiplan validate plans/site.hcl
#   esxiplan rehearse plans/site.hcl
#   esxiplan run      plans/site.hcl --dry-run

plan "lab" {
  description      = "Reinstall the QE lab with ESXi 7.0U3d"
  required_version = ">= 0.1"
}

variable "root_password" {
  type        = string
  sensitive   = true
  description = "root on the installed hosts"
}

variable "image_name" {
  type        = string
  default     = "VMware-VMvisor-Installer-7.0U3d-19482537.x86_64.iso"
  description = "installer image in the web server's folder"
}

variable "esxi_version" {
  type        = string
  default     = "7.0.3"
  description = "version that must come up"
}

variable "web_server" {
  type        = string
  default     = "172.20.17.20"
  description = "address of the web server, as the BMCs see it"
}

locals {
  iso_dir = "/usr/share/nginx/html/iso"
}

image "esxi" {
  source = "${local.iso_dir}/${var.image_name}"
}

media {
  directory = "${local.iso_dir}/redfish"
  url       = "http://${var.web_server}/iso/redfish"
}

group "dell" {
  vendor = "dell"

  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
    tls      = { verify = false } # or { fingerprint = "sha256:…" }, { ca_file = "…" }, { first_use = true }
  }
  esxi {
    netmask       = "255.255.240.0"
    gateway       = "10.172.16.1"
    nameservers   = ["10.172.16.53"]
    disk          = { model = "DELLBOSS VD" }
    root_password = var.root_password
    current       = { username = "root", password = var.root_password }
  }

  host "10.172.18.191" {
    serial = "7XQ4T93"
    esxi {
      address = "10.172.18.95"
      nic     = "B4:96:91:A7:3F:D6"
    }
    vars = { rack = "r7" }
  }
  host "10.172.18.192" {
    serial = "7XQ5T93"
    esxi {
      address = "10.172.18.96"
      nic     = "B4:96:91:A7:3F:E6"
    }
    vars = { rack = "r7" }
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
    netmask       = "255.255.240.0"
    gateway       = "10.172.16.1"
    nameservers   = ["10.172.16.53"]
    disk          = { model = "ThinkSystem M.2" }
    root_password = var.root_password
    current       = { username = "root", password = var.root_password }
  }

  host "10.172.18.201" {
    esxi {
      address = "10.172.18.97"
      nic     = "08:C0:EB:1A:22:01"
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
  action = "restart" # off → on, on → restart; never both
}

step "wait" "installed" {
  tags        = ["post-check"]
  goal        = "esxi"
  retries     = 360
  delay       = "5s"
  until       = result.proven
  failed_when = result.proven && result.version != var.esxi_version
}
