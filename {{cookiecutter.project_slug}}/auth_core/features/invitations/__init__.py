"""Registration by invitation: somebody who may invites an address, whose owner follows the mailed link."""
