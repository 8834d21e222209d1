# Blocks without names, or with too many.

plan {}

plan "wrong" "again" {}

group {}

step "precheck" {}

step "power" "restart" "now" {}

group "lab" {
  host {}
}

image {}

variable {}
