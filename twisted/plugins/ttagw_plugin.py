"""What `twistd --help` lists."""

from twisted.application.service import ServiceMaker

ttagw = ServiceMaker("ttagw", "ttagw.tap", "The TTA API gateway: routing, balancing, protection.", "ttagw")
