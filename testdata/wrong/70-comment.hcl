# A comment without its end.

plan "wrong" {}

/* Rack 7
group "lab" {}
