from cmp._run import main

__all__ = ()

if __name__ == "__main__":
    main()
