plan: wrong
hosts:
  - name: esxi-01
    address: 192.0.2.11
