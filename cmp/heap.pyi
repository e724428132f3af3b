from multiprocessing.heap import *
from multiprocessing.heap import Arena as Arena
from multiprocessing.heap import Heap as Heap
