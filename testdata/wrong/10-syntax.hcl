# A file that is not HCL.

plan "wrong" {

group "lab {
  vendor = dell
