from multiprocessing.resource_tracker import *
from multiprocessing.resource_tracker import ResourceTracker as ResourceTracker
from multiprocessing.resource_tracker import getfd as getfd
from multiprocessing.resource_tracker import main as main
