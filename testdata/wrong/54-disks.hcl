# Disks that are not named, or not so that ESXi knows them.

plan "wrong" {}

group "lab" {
  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
  }
  host "198.51.100.1" {
    esxi {
      address = "192.0.2.11"
      disk = "DELLBOSS VD"
    }
  }
  host "198.51.100.2" {
    esxi {
      address = "192.0.2.12"
      disk = {}
    }
  }
  host "198.51.100.3" {
    esxi {
      address = "192.0.2.13"
      disk = { model = "" }
    }
  }
  host "198.51.100.4" {
    esxi {
      address = "192.0.2.14"
      disk = { name = "/dev/sda" }
    }
  }
  host "198.51.100.5" {
    esxi {
      address = "192.0.2.15"
      disk = { name = "t10.ATA_disk" }
    }
  }
  host "198.51.100.6" {
    esxi {
      address = "192.0.2.16"
      wipe = { model = "X" }
    }
  }
  host "198.51.100.7" {
    esxi {
      address = "192.0.2.17"
      wipe = [{ modl = "X" }, { serial = "A", wwn = "B" }]
    }
  }
  host "198.51.100.8" {
    esxi {
      address = "192.0.2.18"
      disk = [{ model = "X" }]
    }
  }
}

step "precheck" "look" {}
