# Durations, counts and percentages of wrong form.

plan "wrong" {
  in_flight = "half"
}

group "lab" {
  in_flight = "0%"
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

step "wait" "done" {
  timeout   = "1 hour"
  delay     = "-5s"
  max_delay = "5 minutes"
  retries   = 2.5
  throttle  = 0
  barrier   = "maybe"
  on_error  = "ignore"
  groups    = "lab"
}
