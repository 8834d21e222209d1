# A plan without hosts.

plan "wrong" {}

group "lab" {}

step "precheck" "look" {}
