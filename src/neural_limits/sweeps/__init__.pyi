from ._configuration import Configuration as Configuration
