# Addresses and times as bare values.

plan "wrong" {}

locals {
  address = 192.0.2.1
  mac     = 00:11:22:33:44:55
}
