# What is missing: block, arguments, host arguments that a step needs, a variable without a value.

plan "wrong" {
  required_version = ">= 99"
}

group "lab" {
  bmc {
    username = "root"
  }
  host "one" {
    esxi { address = "192.0.2.11" }
  }
}

group "nothing" {
  host "two" {}
}

media {
  directory = "/srv/iso"
}

step "one_time_boot" "cd" {}
