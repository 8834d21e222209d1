# Addresses, times and words as bare values.

plan "wrong" {}

locals {
  address = 192.0.2.1
  mac     = 00:11:22:33:44:55
  pause   = 5m
  both    = true and false
}
